DROP TABLE replays, parked_postbacks, postbacks;

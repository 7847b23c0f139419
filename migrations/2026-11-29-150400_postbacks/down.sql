DROP TABLE replays, held_postbacks, postbacks;

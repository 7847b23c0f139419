DROP TABLE alerts, verifications;

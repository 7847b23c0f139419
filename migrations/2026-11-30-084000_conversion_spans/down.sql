DROP TABLE conversion_spans;

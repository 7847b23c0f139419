INSERT INTO conversion_spans (network_id, span, slot, version) VALUES (10{n}, 82000, 3, 5);

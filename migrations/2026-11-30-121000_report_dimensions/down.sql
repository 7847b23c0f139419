ALTER TABLE conversions DROP COLUMN item_categories;
ALTER TABLE affiliates DROP COLUMN manager_id;

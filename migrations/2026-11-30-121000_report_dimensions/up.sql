-- Managers of affiliates, and categories of the items of orders, for reports.
-- Without a foreign key: memberships refer to affiliates, and neither could be erased first. Memberships are never deleted.
ALTER TABLE affiliates ADD COLUMN manager_id integer;
COMMENT ON COLUMN affiliates.manager_id IS 'Membership of the member of the staff who manages the affiliate; NULL if none.';

ALTER TABLE conversions ADD COLUMN item_categories text;
COMMENT ON COLUMN conversions.item_categories IS 'Categories of the items of the order, sorted and separated by commas; NULL if none was sent.';

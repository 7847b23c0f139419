DROP INDEX postbacks_of_order;

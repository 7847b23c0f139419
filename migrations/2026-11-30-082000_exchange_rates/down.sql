DROP TABLE reference_rate_fetches, reference_rates, exchange_rates;

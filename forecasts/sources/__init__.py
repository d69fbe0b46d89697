"""Where forecasts come from: one file a source, registered under `shifter.forecast_sources`."""

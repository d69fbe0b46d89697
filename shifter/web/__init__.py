"""The dashboard: two pages, ES modules and vendored assets, over the `/v1` that programs read."""

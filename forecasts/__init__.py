"""Learning what the grid will do: prices and carbon intensity, by zone and slot."""

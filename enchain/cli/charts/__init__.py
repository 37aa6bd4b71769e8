"""Charts of forecasts: in the terminal, and as PNG files. `enchain forecast show` calls it."""

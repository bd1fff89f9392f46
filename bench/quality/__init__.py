"""The scoreboard of quality: data sets built once, models trained once, a page of what was measured."""

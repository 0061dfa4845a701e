"""Rivers, sensors and their faults, to watch and to test with; and the replay of recorded floods."""

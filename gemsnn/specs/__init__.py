"""Settings that check themselves: ranges, choices, and what a setting needs to have an effect."""

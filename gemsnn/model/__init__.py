"""The network: bases, neurons, who listens to whom, and one step of it all."""

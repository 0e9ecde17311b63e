"""The block kernel, of torch's operations alone."""

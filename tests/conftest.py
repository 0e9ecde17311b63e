"""One thread of torch a test process, so that two processes share two cores fairly."""

import torch

torch.set_num_threads(1)

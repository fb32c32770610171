"""Files and devices: everything that leaves or enters the process."""

"""Exits per operation of recorded KVM beside those of the simulator: `virqsim validate --exits`."""

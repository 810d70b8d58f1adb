"""Other orders of the same events: is there one in which an interrupt is lost?

search.py runs a plan under many schedules, command.py is `virqsim race`.
"""

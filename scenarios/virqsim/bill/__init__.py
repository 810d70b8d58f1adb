"""`virqsim bill`: what each exit was for, what it cost, and which feature would have spared it.

    attribution.py     a trace as the lines of a bill
    simulated.py       a plan, run for its bill
    counterfactual.py  the same plan with one more feature, for each there is; which is the cheapest
    invoice.py         the document, and how it is printed
    command.py         `virqsim bill`
"""

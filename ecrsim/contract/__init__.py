"""The contract with the clients: the two service models, and what reads requests and writes answers by them."""

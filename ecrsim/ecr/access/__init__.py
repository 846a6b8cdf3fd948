"""Access: who may do what. Tokens, policies, decisions."""

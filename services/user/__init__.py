"""UserService: accounts, login, user cards."""

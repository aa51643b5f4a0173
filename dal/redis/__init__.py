"""Redis: the client, every key format, and the Lua scripts. The one owner of the redis package."""

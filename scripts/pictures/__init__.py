"""Pictures of the web client's main views, on a phone and on a desktop, of a stack with the sample users."""

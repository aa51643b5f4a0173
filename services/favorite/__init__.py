"""FavoriteService: likes of videos."""

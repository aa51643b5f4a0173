"""CommentService: comments and likes of comments."""

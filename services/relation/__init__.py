"""RelationService: who follows whom."""

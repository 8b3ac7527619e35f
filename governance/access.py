"""Who may do what: the one table. (filled below)"""

"""Pictures, tables and demos made from the results of the other packages."""

"""An app that has grown: three migrations, of which the last two change tables and rows. For archives older than the code."""

"""The scheduling operations as tools of the Model Context Protocol."""

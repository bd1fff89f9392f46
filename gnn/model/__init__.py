"""What training makes and keeps: fitted parts, their fusion, the bundle."""

"""The mesoscopic stage: pores and wrinkles of a surface from its blended texture."""

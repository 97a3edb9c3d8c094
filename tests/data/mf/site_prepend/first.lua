require("Cosmic"):singleton():assign("LMOD_SITE_NAME","Pre")

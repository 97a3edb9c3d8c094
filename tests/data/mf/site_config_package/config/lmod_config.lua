local cosmic = require("Cosmic"):singleton()
cosmic:assign("LMOD_PACKAGE_PATH", pathJoin(os.getenv("TOP"), "site"))

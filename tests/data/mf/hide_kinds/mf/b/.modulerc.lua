hide{name={"b/2", "b/3"}, kind="hard", after="2999-01-01"}

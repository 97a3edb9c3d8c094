forbid{name="a"}
forbid{name="c/64"}
forbid{name="d", after="2999-01-01"}
forbid{name="d/1"}

# Aliases of ./run, for fingers that type make.
.PHONY: run test soak lint lock backup

run:
	./run

test soak lint lock backup:
	./run $@

# Aliases of ./run, for fingers that type make.
.PHONY: run test soak lint bench lock backup

run:
	./run

test soak lint bench lock backup:
	./run $@

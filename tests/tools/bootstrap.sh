# Functions that tests/run and examples/run share.  Sourced by bash.
. "$(dirname "${BASH_SOURCE[0]}")/../../examples/bootstrap.sh"

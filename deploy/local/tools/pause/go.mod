module trainingjob.dev/deploy/local/tools/pause

go 1.26.0

package correlate

// The weights of the ranking of causes, fitted by fit_test.go.
var causeWeights = causeFeatures{0.000, 0.100, -0.114, 0.385, -0.302, -1.000, -0.797, 0.100, 0.100, 0.341, -0.663, 0.000, 0.096, 1.042, -1.511, -0.121, 0.310, 0.184, 0.000, 0.000, 1.524, 0.261}

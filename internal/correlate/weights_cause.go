package correlate

// The weights of the ranking of causes, fitted by fit_test.go.
var causeWeights = causeFeatures{0.000, 0.200, -0.490, 0.200, -0.330, 0.000, -0.631, 0.200, 0.200, 0.363, -1.342, -0.450, 0.979, 1.000, -1.000, 0.705, 0.449, 0.802, 0.000}

package correlate

// The weights of the ranking of causes, fitted by fit_test.go.
var causeWeights = causeFeatures{0.000, 0.200, -0.485, 0.200, -0.321, 0.000, -0.664, 0.200, 0.200, 0.403, -1.337, -0.338, 0.615, 1.568, -1.600, 0.389, 0.351, 0.649, 0.000}

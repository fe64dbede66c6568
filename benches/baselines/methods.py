"""The methods and their settings.

A file of its own so that all settings can be read at once. They are fixed, or chosen by cross-validation inside
the training rows with the data's groups kept together; no test row takes part. Features come standardised.
Steels: one model a target, on standardised targets. Everything runs on one core.
"""

import warnings
from collections.abc import Callable

import numpy as np
from catboost import CatBoostClassifier, CatBoostRegressor
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor

BOOSTING = {"learning_rate": 0.05, "subsample": 0.8, "colsample_bytree": 0.8, "tree_method": "hist", "n_jobs": 1}
CATBOOST = {"depth": 6, "thread_count": 1, "verbose": False, "allow_writing_files": False}


def shortened_search(objective: Callable, start: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, float]:
    """L-BFGS that stops after 60 steps: the likelihood hardly rises after that, and a fit costs seconds."""
    found = minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 60})
    return found.x, found.fun


def gaussian_process(width: int, seed: int) -> BaseEstimator:
    """Matérn 3/2 with a length scale a feature, plus a linear part, plus noise."""
    matern = ConstantKernel(1.0, (1e-3, 1e3)) * Matern(np.full(width, 3.0), (1e-1, 1e3), nu=1.5)
    linear = ConstantKernel(0.1, (1e-5, 1e2)) * DotProduct(1.0, (1e-3, 1e2))
    kernel = matern + linear + WhiteKernel(0.05, (1e-4, 1.0))
    return GaussianProcessRegressor(kernel, alpha=1e-8, optimizer=shortened_search, random_state=seed)


REGRESSORS: dict[str, Callable[[int, int], BaseEstimator]] = {
    "CatBoost": lambda _, seed: CatBoostRegressor(iterations=1200, learning_rate=0.05, random_seed=seed, **CATBOOST),
    "ExtraTrees": lambda _, seed: ExtraTreesRegressor(300, max_features=1.0, random_state=seed),
    "XGBoost": lambda _, seed: XGBRegressor(n_estimators=500, max_depth=5, random_state=seed, **BOOSTING),
    "GP": gaussian_process,
    "RF": lambda _, seed: RandomForestRegressor(300, max_features=1 / 3, random_state=seed),
    "ridge": lambda _, __: Ridge(),
    "SVR": lambda _, __: SVR(epsilon=0.05),
    "SGD": lambda _, seed: SGDRegressor(
        learning_rate="adaptive", eta0=1e-3, max_iter=2000, tol=1e-4, random_state=seed
    ),
    "DT": lambda _, seed: DecisionTreeRegressor(random_state=seed),
}

# No Gaussian process: exact inference on 3,559 rows, with a non-Gaussian likelihood and three classes, takes
# many minutes a split.
CLASSIFIERS: dict[str, Callable[[int, int], BaseEstimator]] = {
    "XGBoost": lambda _, seed: XGBClassifier(n_estimators=300, max_depth=6, random_state=seed, **BOOSTING),
    "ExtraTrees": lambda _, seed: ExtraTreesClassifier(300, max_features="sqrt", random_state=seed),
    "RF": lambda _, seed: RandomForestClassifier(300, max_features="sqrt", random_state=seed),
    "CatBoost": lambda _, seed: CatBoostClassifier(iterations=500, learning_rate=0.1, random_seed=seed, **CATBOOST),
    # Logistic regression with a ridge penalty: it has probabilities, RidgeClassifier has none.
    "ridge": lambda _, __: LogisticRegression(C=1.0, max_iter=300),
    "SVM": lambda _, __: SVC(C=10.0, gamma="scale", break_ties=True, cache_size=500),
    "SGD": lambda _, seed: SGDClassifier(loss="log_loss", alpha=1e-4, average=True, random_state=seed),
    "DT": lambda _, seed: DecisionTreeClassifier(random_state=seed),
}

# What is chosen by five folds of training groups, for steels, where that is cheap.
CHOICES: dict[str, dict[str, list]] = {
    "ridge": {"alpha": [0.1, 1.0, 10.0, 100.0, 1000.0]},
    "SVR": {"C": [1.0, 10.0, 100.0], "gamma": [0.001, 0.01, 0.1]},
    "SGD": {"alpha": [1e-4, 1e-2, 1e-1]},
    "DT": {"min_samples_leaf": [1, 2, 4, 8]},
}


def predict_values(
    method: str, train: np.ndarray, answers: np.ndarray, groups: np.ndarray, test: np.ndarray, seed: int
) -> np.ndarray:
    """Fits a model a target and gives the test rows' values, a column a target."""
    mean, deviation = answers.mean(axis=0), answers.std(axis=0)
    predicted = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for target in ((answers - mean) / deviation).T:
            model = REGRESSORS[method](train.shape[1], seed)
            if method in CHOICES:
                search = GridSearchCV(model, CHOICES[method], cv=GroupKFold(5), scoring="neg_mean_squared_error")
                model = search.fit(train, target, groups=groups)
            else:
                model.fit(train, target)
            predicted.append(model.predict(test))
    return np.column_stack(predicted) * deviation + mean


def predict_probabilities(
    method: str, train: np.ndarray, answers: np.ndarray, test: np.ndarray, seed: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Fits a classifier and gives the test rows' probabilities, a column a class. Rows may have weights.

    A support vector machine has none: the softmax of its decision values stands in, so its log loss is rough.
    """
    model = CLASSIFIERS[method](train.shape[1], seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, answers, **({} if weights is None else {"sample_weight": weights}))
    if hasattr(model, "predict_proba"):
        return model.predict_proba(test)
    return softmax(model.decision_function(test), axis=1)

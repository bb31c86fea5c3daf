/** Replaces OHIF 3.13's own configuration: one origin with Orthanc's DICOMweb, SEG and SR shown without a question. */
window.config = {
  name: 'habitus',
  routerBasename: null,
  showStudyList: true,
  extensions: [{
    // Opening a SEG closes the viewport and makes another of the same name. OHIF 3.13 finds a renderer by that name, so that an
    // image that arrives late for the closed one drives the new one's image out and stays: the colours lie on another slice.
    id: 'habitus.no-image-for-a-closed-viewport',
    preRegistration() {
      const viewport = window.cornerstone.StackViewport.prototype;
      const show = viewport.successCallback;
      viewport.successCallback = function (imageId, image) {
        if (!this.isDisabled) show.call(this, imageId, image);
      };
    },
  }],
  modes: [],
  // A SEG that is opened is shown, not asked for.
  disableConfirmationPrompts: true,
  customizationService: [{
    // The tour of eleven steps covers the images on the first visit.
    'ohif.tours': { $set: [] },
    'panelSegmentation.disableEditing': { $set: true },
  }],
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  // OHIF's own notice would ask on every visit; each Habitus object says "for research use" itself.
  investigationalUseDialog: { option: 'never' },
  modesConfiguration: {
    // The mode of the route /viewer; immutability-helper commands.
    '@ohif/mode-longitudinal': {
      activatePanelTriggers: { $set: [{
        panelId: '@ohif/extension-cornerstone.panelModule.panelSegmentation',
        sourceServiceName: 'segmentationService',
        sourceEvents: ['SEGMENTATION_ADDED'],
      }] },
      routes: { 0: { layoutInstance: { props: { rightPanelClosed: { $set: false } } } } },
    },
  },
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  defaultDataSourceName: 'orthanc',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
    sourceName: 'orthanc',
    configuration: {
      friendlyName: 'Orthanc',
      name: 'orthanc',
      qidoRoot: '/dicom-web',
      wadoRoot: '/dicom-web',
      wadoUriRoot: '/wado',
      // Without it the study list shows "No Description".
      qidoSupportsIncludeField: true,
      imageRendering: 'wadors',
      thumbnailRendering: 'wadors',
      enableStudyLazyLoad: true,
      supportsFuzzyMatching: false,
      supportsWildcard: true,
      omitQuotationForMultipartRequest: true,
      bulkDataURI: { enabled: true },
    },
  }],
};
